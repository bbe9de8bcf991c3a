# Counts the points of a purchase file by itself, for a comparison: reads the file, writes customer,points.
#
# Money is counted in thousandths of a pound, in whole numbers throughout.
use strict;
use warnings;
use integer;

my %thousandths;
<STDIN>;
while (my $line = <STDIN>)
{
	$line =~ s/\r?\n\z//;
	my @fields = map { s/\A"([^"]*)"\z/$1/r } split /,/, $line, -1;
	@fields == 6 or die "line $. has not six fields without commas\n";
	my ($invoice, undef, $quantity, undef, $price, $customer) = @fields;
	next if $invoice =~ /\AC/ or $customer eq '';
	my ($sign, $pounds, $fraction) = $price =~ /\A(-?)(\d+)(?:\.(\d{1,3})0*)?\z/
		or die "line $.: unit_price \"$price\" is no amount of three decimals or fewer\n";
	my $amount = $quantity * ($pounds * 1000 + substr(($fraction // '') . '000', 0, 3));
	$thousandths{$invoice}{$customer} += $sign ? -$amount : $amount;
}

my %points;
for my $invoice (values %thousandths)
{
	for my $customer (keys %$invoice)
	{
		$points{$customer} += $invoice->{$customer} / 1000 if $invoice->{$customer} >= 1000;
	}
}
print "$_,$points{$_}\n" for sort keys %points;
