#!/usr/bin/perl
# The model: four thousand random operations in jifen and in test/model, which must agree on everything.
#
# JIFEN_MODEL_SEED=N replays another history, JIFEN_MODEL_OPERATIONS=N a shorter or longer one;
# JIFEN_MODEL_WITHOUT=NAME,… leaves out these functions.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $python = '/usr/bin/python3';
my $model = abs_path(dirname(__FILE__) . '/../model');
my $seed = $ENV{JIFEN_MODEL_SEED} // 20240229;
my $operations = $ENV{JIFEN_MODEL_OPERATIONS} // 4_000;
my $without = $ENV{JIFEN_MODEL_WITHOUT} // '';

for my $examples (qw(selftest.py selftest_expiry.py))
{
	my $output = qx($python -B '$model/$examples' 2>&1);
	is($?, 0, "the model does what was worked out by hand in $examples") or diag($output);
}

open(my $run, '-|', "$python -B '$model/run.py' --seed $seed --operations $operations --without '$without' 2>&1")
	or die "cannot start $model/run.py: $!";
my ($played, @agreements, @rest) = (0);
while (my $line = <$run>)
{
	chomp $line;
	my ($word, @fields) = split /\t/, $line;
	if (($word // '') =~ /^(?:agrees|differs|unchecked|unreached)$/)
	{
		push @agreements, [ $word, @fields ];
	}
	elsif (($word // '') eq 'operations')
	{
		$played = $fields[0];
	}
	else
	{
		push @rest, $line;
	}
}
close $run;

my $all_well = is($?, 0, 'the run ended well');
$all_well &= cmp_ok($played, '>=', $operations, "operations played: $played");
$all_well &= cmp_ok(scalar @agreements, '>', 20, 'every agreement was stated');
for my $agreement (@agreements)
{
	my ($verdict, $name, $text) = (@$agreement, '');
  SKIP:
	{
		skip "$name: the run ended before", 1 if $verdict eq 'unreached';
		$all_well &= is($verdict, 'agrees', "$name: $text");
	}
}
if ($all_well)
{
	note($_) for @rest;
}
else
{
	diag("to replay: JIFEN_MODEL_SEED=$seed make check PROVE_TESTS=test/t/090_model.pl PROVE_FLAGS=-v");
	diag($_) for @rest;
}
done_testing();
