#ifndef SG_BASE_BANNED_H
#define SG_BASE_BANNED_H

/*
 * Functions that do not compile here: they do not know how much room there is, keep state that
 * threads share, or report no errors. Included by the build into every file of ours (-include).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol atof gmtime localtime rand \
    srand strncat tmpnam mktemp

#endif
