# Counts the points of a purchase file by itself, for a comparison with the ledger.
#
# Reads the file; writes, of each customer with a purchase:
#
#   customer,points earned,points reversed,lines of returns matched,invoices of which all came back
#
# Money is counted in thousandths of a pound, in whole numbers throughout.
use strict;
use warnings;
use integer;

# Invoices by customer and number; an invoice's items are keyed by article and
# price, so that one which stands on several lines is one.
my (%invoices, @returned);
<STDIN>;
while (my $line = <STDIN>)
{
	$line =~ s/\r?\n\z//;
	my @fields = split /,/, $line, -1;
	@fields == 6 or die "line $. has not six fields without commas\n";
	s/\A"(.*)"\z/$1/ for @fields;
	my ($number, $article, $quantity, $date, $price, $customer) = @fields;
	next if $customer eq '';
	$date =~ /\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\z/
	  or die "line $.: invoice_date \"$date\" is not like 2010-12-01 08:26:00\n";
	my ($sign, $pounds, $fraction) = $price =~ /\A(-?)(\d+)(?:\.(\d{1,3})0*)?\z/
	  or die "line $.: unit_price \"$price\" is no amount of three decimals or fewer\n";
	my $thousandths = $pounds * 1000 + substr(($fraction // '') . '000', 0, 3);
	$thousandths = -$thousandths if $sign;

	my $invoice = $invoices{$customer}{$number} //= { date => $date, value => 0, came_back => 0 };
	$invoice->{date} = $date if $date lt $invoice->{date};
	if ($number =~ /\AC/)
	{
		$invoice->{is_return} = 1;
		push @returned, [ $invoice, $customer, $article, -$quantity, $. ] if $quantity < 0;
		next;
	}
	$invoice->{value} += $quantity * $thousandths;
	next if $quantity <= 0 or $thousandths < 0;
	my $item = $invoice->{items}{"$article $thousandths"} //=
	  { invoice => $invoice, article => $article, price => $thousandths };
	$item->{left} += $quantity;
	$item->{line} = $.;
}

# A line of a return takes from the customer's latest earlier item of the
# article that has as many left.
my (%items, %matched);
for (sort { $a->[0]{date} cmp $b->[0]{date} or $a->[4] <=> $b->[4] } @returned)
{
	my ($return, $customer, $article, $quantity) = @$_;
	my $latest_first = $items{$customer}{$article} //= [
		sort { $b->{invoice}{date} cmp $a->{invoice}{date} or $b->{line} <=> $a->{line} }
		grep { $_->{article} eq $article }
		map { values %{ $_->{items} // {} } } values %{ $invoices{$customer} }
	];
	for my $item (@$latest_first)
	{
		next if $item->{invoice}{date} ge $return->{date} or $item->{left} < $quantity;
		$item->{left} -= $quantity;
		$item->{invoice}{came_back} += $quantity * $item->{price};
		$matched{$customer}++;
		last;
	}
}

# A point for each whole pound, and of those the share of what came back.
for my $customer (sort keys %invoices)
{
	my @purchases = grep { !$_->{is_return} } values %{ $invoices{$customer} } or next;
	my ($earned, $reversed, $all) = (0, 0, 0);
	for (@purchases)
	{
		my ($value, $back) = @$_{ 'value', 'came_back' };
		next if $value <= 0;
		$back = $value if $back > $value;
		$earned += $value / 1000;
		$reversed += $value / 1000 * $back / $value;
		$all++ if $back == $value;
	}
	print join(',', $customer, $earned, $reversed, $matched{$customer} // 0, $all), "\n";
}
