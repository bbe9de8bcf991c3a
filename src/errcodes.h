/*
 * errcodes.h
 *		SQLSTATE class JF: one code for each refusal that a caller branches on.
 */
#ifndef JIFEN_ERRCODES_H
#define JIFEN_ERRCODES_H

#define ERRCODE_JF_INSUFFICIENT_POINTS	MAKE_SQLSTATE('J', 'F', '0', '0', '1')
#define ERRCODE_JF_UNKNOWN_PROGRAM		MAKE_SQLSTATE('J', 'F', '0', '0', '2')
#define ERRCODE_JF_UNKNOWN_MEMBER		MAKE_SQLSTATE('J', 'F', '0', '0', '3')
#define ERRCODE_JF_ACCOUNT_NOT_OPEN		MAKE_SQLSTATE('J', 'F', '0', '0', '4')
#define ERRCODE_JF_KEY_REUSED			MAKE_SQLSTATE('J', 'F', '0', '0', '5')
#define ERRCODE_JF_OVER_REVERSED		MAKE_SQLSTATE('J', 'F', '0', '0', '6')
#define ERRCODE_JF_NO_SUCH_HOLD			MAKE_SQLSTATE('J', 'F', '0', '0', '7')
#define ERRCODE_JF_PERIOD_CLOSED		MAKE_SQLSTATE('J', 'F', '0', '0', '8')
#define ERRCODE_JF_LIMIT_REACHED		MAKE_SQLSTATE('J', 'F', '0', '0', '9')

#endif							/* JIFEN_ERRCODES_H */
