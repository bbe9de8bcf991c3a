#!/usr/bin/perl
# The tests of races: test/specs/*.spec, compared with expected/*.out.
use strict;
use warnings;
use RegressLayer;

RegressLayer::run('ISOLATION');
