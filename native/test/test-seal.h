/* A seal for tests (test-seal.c): built into the sanitizer build and the fuzz targets only. No cryptography. */
#ifndef WEFT_TEST_SEAL_H
#define WEFT_TEST_SEAL_H

#include <stdint.h>

#include "../seal.h"

/* close refuses such peers with ENOKEY, as one without a session. */
#define TEST_SEAL_KEYLESS_PEER 0x4000

/* Both ends need the same key. NULL without memory. */
struct seal *test_seal_create(uint32_t key);

#endif
