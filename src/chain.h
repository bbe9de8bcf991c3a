/*
 * chain.h
 *	  The hash chain over the entries of an account.
 */
#ifndef JIFEN_CHAIN_H
#define JIFEN_CHAIN_H

#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"

#include "posting.h"

extern pg_cryptohash_ctx *jifen_begin_hashing(void);
extern void jifen_end_hashing(pg_cryptohash_ctx *hashing);
extern void jifen_sha256(const void *data, size_t length, uint8 *hash);
extern Datum jifen_new_salt(void);
extern void jifen_copy_hash(JifenHash *hash, const bytea *value);
extern void jifen_chain_entry(pg_cryptohash_ctx *hashing, JifenAccount *account, JifenEntry *entry,
							  const Datum *values, const bool *nulls);
extern void jifen_hash_entry(pg_cryptohash_ctx *hashing, const uint8 *previous,
							 const Datum *values, const bool *nulls,
							 const JifenAllocation *allocations, int nallocations,
							 const char *salt, int salt_length,
							 const uint8 *personal_digest, uint8 *hash);

#endif							/* JIFEN_CHAIN_H */
