# The examples of README.md and docs/ run as written and print what is shown.
#
# A block of sql is run by psql; where a block without a language follows, it
# is what psql prints, but for row counts and the place of an error.
# A page begins with jifen created and in the search path, unless it has a
# create extension of its own.
use strict;
use warnings;
use Test::More;

my $database = 'jifen_docs';
$ENV{PGTZ} = 'UTC';

sub psql
{
	my ($name, $script) = @_;
	open my $pipe, '|-', "psql -qX -d $name > $ENV{TMPDIR}/docs.out 2>&1" or die "psql: $!";
	print $pipe $script;
	close $pipe;
	open my $file, '<', "$ENV{TMPDIR}/docs.out" or die "docs.out: $!";
	local $/;
	return scalar <$file>;
}

# Lines without blanks at their ends, psql's notes on places, and blank edges.
sub tidy
{
	my ($text) = @_;
	$text = join "\n", map { s/\s+$//r } grep { !/^LINE \d+:|^\s+\^$/ } split /\n/, $text;
	return $text =~ s/^\n+|\n+$//gr;
}

for my $path ('README.md', sort glob 'docs/*.md')
{
	open my $file, '<', $path or die "$path: $!";
	my $page = do { local $/; <$file> };
	my @examples;
	while ($page =~ /^```sql\n(.*?)^```\n(?:```\n(.*?)^```\n)?/gms)
	{
		push @examples, { sql => $1, shown => $2 // '' };
	}
	next unless @examples;

	psql('postgres', "drop database if exists $database; create database $database;");
	my $script = "\\pset footer off\n\\set SHOW_CONTEXT never\n";
	$script .= "create extension jifen; set search_path = jifen, public;\n"
	  unless $page =~ /create extension jifen/;
	$script .= "\\echo @@\@$_\n$examples[$_]{sql}\n" for 0 .. $#examples;
	my (undef, @printed) = split /^@@@\d+\n/m, psql($database, $script);
	is(tidy($printed[$_] // ''), tidy($examples[$_]{shown}), "$path, example " . ($_ + 1)) for 0 .. $#examples;
}
psql('postgres', "drop database if exists $database;");
done_testing();
