# Runs a layer of make installcheck against the server that the environment
# names, and reports each of its tests as a TAP test.
#
#   use RegressLayer;
#   RegressLayer::run('REGRESS');       # or 'ISOLATION'
package RegressLayer;

use strict;
use warnings;
use Test::More;

my %other = (REGRESS => 'ISOLATION', ISOLATION => 'REGRESS');
my %diffs = (
	REGRESS   => 'regression.diffs',
	ISOLATION => 'output_iso/regression.diffs');

sub run
{
	my ($layer) = @_;
	my ($tests, $output) = (0, '');
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	open my $make, '-|', "make -s installcheck $other{$layer}= 2>&1"
	  or die "could not run make: $!";
	while (my $line = <$make>)
	{
		$output .= $line;

		# "test NAME ... ok 12 ms" until PostgreSQL 15, TAP from 16 on
		if (   $line =~ /^(?:test)?\s+(\S+)\s+\.\.\. (ok|FAILED)\b/
			or $line =~ /^(?:not )?ok \d+\s+[-+] (\S+)/)
		{
			my $name = $1;
			ok($line !~ /FAILED|^not ok/, $name);
			$tests++;
		}
	}
	my $passed = close $make;

	cmp_ok($tests, '>', 0, 'tests were run');
	ok($passed, 'make installcheck succeeded')
	  or diag(-s $diffs{$layer} ? slurp($diffs{$layer}) : $output);
	done_testing();
	return;
}

sub slurp
{
	my ($path) = @_;
	local $/ = undef;
	open my $file, '<', $path or die "could not open $path: $!";
	return <$file>;
}

1;
