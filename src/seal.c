/*
 * seal.c
 *	  Merkle trees over the heads of accounts, as in RFC 6962.
 *
 * Leaves come in order, one at a time.  What is kept of them is the hash of
 * each complete subtree, one for each bit that is set in their number, as the
 * carries of a binary counter.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "chain.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(seal_leaf);
PG_FUNCTION_INFO_V1(merkle_accumulate);
PG_FUNCTION_INFO_V1(merkle_root_final);
PG_FUNCTION_INFO_V1(merkle_path_final);

#define MAX_LEVELS 63
#define NO_LEVEL (-1)

/* What is hashed of a leaf or of two subtrees begins with one of these. */
#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

typedef struct TreeHash
{
	uint8		bytes[PG_SHA256_DIGEST_LENGTH];
} TreeHash;

/* A sibling on the way from the wanted leaf to the root. */
typedef struct PathStep
{
	bool		is_left;
	TreeHash	sibling;
} PathStep;

typedef struct MerkleTree
{
	int64		size;			/* leaves so far */
	TreeHash	subtree[MAX_LEVELS];	/* of 2^i leaves where bit i of size
										 * is set */
	int			wanted_level;	/* of the subtree that has the wanted leaf */
	int			nsteps;
	PathStep	path[MAX_LEVELS];
} MerkleTree;

static TreeHash
hash_leaf(const bytea *leaf)
{
	TreeHash	result;
	int			length = VARSIZE_ANY_EXHDR(leaf);
	uint8	   *prefixed = palloc(1 + length);

	prefixed[0] = LEAF_PREFIX;
	memcpy(prefixed + 1, VARDATA_ANY(leaf), length);
	jifen_sha256(prefixed, 1 + length, result.bytes);
	pfree(prefixed);
	return result;
}

/*
 * Joins a subtree to the one left of it.  The sibling is noted where one of
 * them has the wanted leaf; *has_wanted is about the right one and, on
 * return, about both.
 */
static TreeHash
join_subtrees(MerkleTree *tree, int left_level, TreeHash right, bool *has_wanted)
{
	const TreeHash left = tree->subtree[left_level];
	uint8		prefixed[1 + 2 * PG_SHA256_DIGEST_LENGTH];
	TreeHash	result;

	if (*has_wanted || tree->wanted_level == left_level)
	{
		PathStep   *step = &tree->path[tree->nsteps++];

		step->is_left = *has_wanted;
		step->sibling = *has_wanted ? left : right;
		*has_wanted = true;
	}
	prefixed[0] = NODE_PREFIX;
	memcpy(prefixed + 1, left.bytes, sizeof(left));
	memcpy(prefixed + 1 + sizeof(left), right.bytes, sizeof(right));
	jifen_sha256(prefixed, sizeof(prefixed), result.bytes);
	return result;
}

static void
add_leaf(MerkleTree *tree, const bytea *leaf, bool is_wanted)
{
	TreeHash	hash = hash_leaf(leaf);
	bool		has_wanted = is_wanted;
	int			level = 0;

	for (; tree->size & (INT64CONST(1) << level); level++)
		hash = join_subtrees(tree, level, hash, &has_wanted);
	tree->subtree[level] = hash;
	if (has_wanted)
		tree->wanted_level = level;
	tree->size++;
}

/* The root: what is left is joined from the right.  The tree is used up. */
static TreeHash
finish_tree(MerkleTree *tree)
{
	TreeHash	root;
	bool		has_wanted = false;
	bool		is_first = true;

	if (tree->size == 0)
		jifen_sha256("", 0, root.bytes);
	for (int level = 0; tree->size >> level; level++)
	{
		if ((tree->size & (INT64CONST(1) << level)) == 0)
			continue;
		if (is_first)
		{
			root = tree->subtree[level];
			has_wanted = tree->wanted_level == level;
		}
		else
			root = join_subtrees(tree, level, root, &has_wanted);
		is_first = false;
	}
	return root;
}

/* A copy of the state that a final function may use up. */
static MerkleTree
tree_argument(FunctionCallInfo fcinfo)
{
	static const MerkleTree empty = {.wanted_level = NO_LEVEL};

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return PG_ARGISNULL(0) ? empty : *(MerkleTree *) PG_GETARG_POINTER(0);
}

/* seal_leaf(account_id, last_seq, head_hash) returns bytea */
Datum
seal_leaf(PG_FUNCTION_ARGS)
{
	uint64		account_id = pg_hton64((uint64) PG_GETARG_INT64(0));
	uint64		last_seq = pg_hton64((uint64) PG_GETARG_INT64(1));
	bytea	   *head_hash = PG_GETARG_BYTEA_PP(2);
	StringInfoData leaf;

	initStringInfo(&leaf);
	appendStringInfoSpaces(&leaf, VARHDRSZ);
	appendBinaryStringInfo(&leaf, (char *) &account_id, sizeof(account_id));
	appendBinaryStringInfo(&leaf, (char *) &last_seq, sizeof(last_seq));
	appendBinaryStringInfo(&leaf, VARDATA_ANY(head_hash), VARSIZE_ANY_EXHDR(head_hash));
	SET_VARSIZE(leaf.data, leaf.len);
	PG_RETURN_BYTEA_P(leaf.data);
}

/* merkle_accumulate(internal, leaf [, is_wanted]) returns internal */
Datum
merkle_accumulate(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MerkleTree *tree;
	bool		is_wanted = PG_NARGS() > 2 && !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	if (PG_ARGISNULL(0))
	{
		tree = MemoryContextAllocZero(context, sizeof(MerkleTree));
		tree->wanted_level = NO_LEVEL;
	}
	else
		tree = (MerkleTree *) PG_GETARG_POINTER(0);
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a leaf must not be null"),
				 errdetail("An account that has entries has no hash of the latest."),
				 errhint("verify_chain() tells which.")));
	if (is_wanted && tree->wanted_level != NO_LEVEL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("more than one leaf is wanted"),
				 errdetail("Leaf " INT64_FORMAT " is the second one.", tree->size + 1),
				 errhint("A path leads from one leaf to the root.")));
	add_leaf(tree, PG_GETARG_BYTEA_PP(1), is_wanted);
	PG_RETURN_POINTER(tree);
}

/* merkle_root(leaf) returns bytea */
Datum
merkle_root_final(PG_FUNCTION_ARGS)
{
	MerkleTree	tree = tree_argument(fcinfo);
	TreeHash	root = finish_tree(&tree);
	bytea	   *result = palloc(VARHDRSZ + sizeof(root));

	SET_VARSIZE(result, VARHDRSZ + sizeof(root));
	memcpy(VARDATA(result), root.bytes, sizeof(root));
	PG_RETURN_BYTEA_P(result);
}

/*
 * merkle_path(leaf, is_wanted) returns text[]
 *
 * From the wanted leaf to the root: the side of each sibling and its hash.
 * NULL where no leaf was wanted.
 */
Datum
merkle_path_final(PG_FUNCTION_ARGS)
{
	MerkleTree	tree = tree_argument(fcinfo);
	Datum		steps[MAX_LEVELS];

	(void) finish_tree(&tree);
	if (tree.wanted_level == NO_LEVEL)
		PG_RETURN_NULL();
	for (int i = 0; i < tree.nsteps; i++)
	{
		char		hex[2 * PG_SHA256_DIGEST_LENGTH + 1];
		uint64		length = hex_encode((char *) tree.path[i].sibling.bytes,
										PG_SHA256_DIGEST_LENGTH, hex);

		hex[length] = '\0';
		steps[i] = CStringGetTextDatum(psprintf("%s %s", tree.path[i].is_left ? "left" : "right", hex));
	}
	PG_RETURN_ARRAYTYPE_P(construct_array(steps, tree.nsteps, TEXTOID, -1, false, TYPALIGN_INT));
}
