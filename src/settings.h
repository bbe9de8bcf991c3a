/*
 * settings.h
 *	  The settings of the extension.
 */
#ifndef JIFEN_SETTINGS_H
#define JIFEN_SETTINGS_H

/* jifen.clock_tolerance, in seconds */
extern int	jifen_clock_tolerance;

#endif							/* JIFEN_SETTINGS_H */
