-- One hold of a random member, captured.
\set m random(1, :members)
begin;
select seq as hold_seq from jifen.hold('bench', 'member ' || :m, 1, until => now() + interval '1 hour', reference => 'order ' || :m) \gset
select seq from jifen.capture('bench', 'member ' || :m, :hold_seq);
commit;
