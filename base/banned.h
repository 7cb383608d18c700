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

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets atoi atol atof gmtime localtime      \
    strncat tmpnam mktemp

/* OpenSSL's headers have parameters of this name, which a poisoned word would not survive. */
int rand(void) __attribute__((deprecated("use RAND_bytes or a generator with a seed")));
void srand(unsigned int seed) __attribute__((deprecated("use RAND_bytes")));

#endif
