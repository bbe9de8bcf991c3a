/*
 * post.h
 *	  The one path of all postings, one or ten thousand alike.
 */
#ifndef JIFEN_POST_H
#define JIFEN_POST_H

#include "postgres.h"

#include "posting.h"

extern JifenPosting *jifen_post(JifenPosting *postings, int n, bool skip);

#endif							/* JIFEN_POST_H */
