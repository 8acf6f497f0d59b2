/* SPDX-License-Identifier: Apache-2.0
 * apps/exit.h - what the program ends with: those of sysexits.h, where it has one that fits. */
#ifndef APPS_EXIT_H
#define APPS_EXIT_H

typedef enum Exit {
    DONE         = 0,
    FAILED_OTHER = 1,
    USAGE        = 64,      /* the command line is wrong                                   */
    BAD_DATA     = 65,      /* a file is broken, or of a kind we lack                      */
    NO_INPUT     = 66,      /* a file cannot be opened                                     */
    NO_DOWNLOAD  = 69,
    NO_FIT       = 71,      /* more than the memory holds                                  */
    DISK         = 74,
    INTERRUPTED  = 130      /* 128 and the number of the signal: see interrupt_exit        */
} Exit;

#endif
