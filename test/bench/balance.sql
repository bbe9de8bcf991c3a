-- One balance of a random member.
\set m random(1, :members)
select available from jifen.balance('bench', 'member ' || :m);
