#!/usr/bin/perl
# The SQL tests: test/sql/*.sql, compared with expected/*.out.
use strict;
use warnings;
use RegressLayer;

RegressLayer::run('REGRESS');
