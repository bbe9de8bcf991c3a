# The program of docs/seal.md checks proofs without the database: it accepts real ones and none that was altered.
use strict;
use warnings;
use JSON::PP;
use Test::More;

my $database = 'jifen_inclusion_proof';

sub psql
{
	my ($name, $script) = @_;
	open my $pipe, '-|', 'psql', '-qXAt', '-v', 'ON_ERROR_STOP=1', '-d', $name, '-c', $script or die "psql: $!";
	chomp(my @lines = <$pipe>);
	close $pipe or die "psql failed: $script";
	return @lines;
}

open my $page, '<', 'docs/seal.md' or die "docs/seal.md: $!";
my ($program) = do { local $/; <$page> } =~ /^```python\n(.*?)^```\n/ms or die 'docs/seal.md has no program';
write_file('check_inclusion.py', $program);

psql('postgres', "drop database if exists $database");
psql('postgres', "create database $database");
psql($database, <<'SQL');
create extension jifen;
set search_path = jifen;
select create_program('shop', auto_open => true);
select earn('shop', 'm' || n, n) from generate_series(1, 21) n;
select seal('shop');
select redeem('shop', 'm' || n, 1) from generate_series(7, 9) n;
select earn('shop', 'm22', 1);
select seal('shop');
SQL
my %root = map { split /\|/ } psql($database, q{select seal_no, encode(root, 'hex') from jifen.seal});

for my $seal_no (1, 2)
{
	my @proofs = psql($database, qq{select to_json(jifen.inclusion_proof('shop', 'm' || n, $seal_no)) from generate_series(1, 20 + $seal_no) n});
	my @refused = grep { check($root{$seal_no}, $_) } @proofs;
	is(@refused, 0, "seal $seal_no: every account's proof is accepted") or diag(@refused);
	is((grep { check($root{ 3 - $seal_no }, $_) } @proofs), @proofs, 'and none with the root of the other seal');
}

my ($proof) = psql($database, q{select to_json(jifen.inclusion_proof('shop', 'm7'))});
is(check($root{2}, $proof), 0, 'a proof is accepted');
like(output(), qr/^entries 1 to 2 of account \d+ are part of the seal$/, 'and the program says of what');
my %altered = (
	account_id => 8, last_seq => 1, head_hash => '\\x' . '0' x 64, leaf_index => 7, tree_size => 64, root => '\\x' . $root{1},
	path => [ 'left ' . '0' x 64 ]);
for my $field (sort keys %altered)
{
	isnt(check($root{2}, JSON::PP->new->encode({ %{ decode_json($proof) }, $field => $altered{$field} })), 0, "not with another $field");
	like(output(), qr/^not proved: /, 'and the program says so');
}
for my $step (0 .. $#{ decode_json($proof)->{path} })
{
	my $other = decode_json($proof);
	$other->{path}[$step] =~ tr/0-9a-f/1-9a-f0/;
	isnt(check($root{2}, JSON::PP->new->encode($other)), 0, "nor with another step $step");
}
isnt(check($root{2}, '{}'), 0, 'nor an empty one');
isnt(check($root{2}, 'none'), 0, 'nor no proof at all');

psql('postgres', "drop database $database");
done_testing();

# The exit status of the program for the proof.
sub check
{
	my ($root, $json) = @_;
	write_file('proof.json', $json);
	return system "python3 $ENV{TMPDIR}/check_inclusion.py $root < $ENV{TMPDIR}/proof.json > $ENV{TMPDIR}/check_inclusion.out 2>&1";
}

sub output
{
	open my $file, '<', "$ENV{TMPDIR}/check_inclusion.out" or die "check_inclusion.out: $!";
	local $/;
	return scalar <$file>;
}

sub write_file
{
	my ($name, $content) = @_;
	open my $file, '>', "$ENV{TMPDIR}/$name" or die "$name: $!";
	print $file $content;
	close $file or die "$name: $!";
	return;
}
