/*
 * RFC 1071 sums. Stages: a sum of 64-bit accumulators in the machine's own byte order (the sum is indifferent to word
 * width, and byte order only swaps the result), then one fold to 16 bits, then one swap to network order.
 * The widest implementation the CPU has is picked once, when the addon is loaded.
 */
#include "checksum.h"

#include <endian.h>
#include <stdatomic.h>
#include <string.h>

#include "packet.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* Sum of the bytes as native 32-bit words; an odd last byte stands at its lower address of a zero-filled word. */
typedef uint64_t sum_function(const uint8_t *bytes, size_t length);

static uint64_t sum_portable(const uint8_t *bytes, size_t length) {
  uint64_t low = 0, high = 0;
  for (; length >= 16; bytes += 16, length -= 16) {
    uint64_t word[2];
    memcpy(word, bytes, 16);
    low += (word[0] & UINT32_MAX) + (word[1] & UINT32_MAX);
    high += (word[0] >> 32) + (word[1] >> 32);
  }
  uint64_t sum = low + high;
  for (; length >= 4; bytes += 4, length -= 4) {
    uint32_t word;
    memcpy(&word, bytes, 4);
    sum += word;
  }
  if (length > 0) {
    uint32_t word = 0;
    memcpy(&word, bytes, length);
    sum += word;
  }
  return sum;
}

#if defined(__x86_64__)

static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }
static bool has_sse2(void) { return true; }

/* Both halves of each 64-bit lane are added on their own: 2^32 words fit before a lane could overflow. */
__attribute__((target("avx2"))) static uint64_t sum_avx2(const uint8_t *bytes, size_t length) {
  const __m256i low_half = _mm256_set1_epi64x(UINT32_MAX);
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (; length >= 64; bytes += 64, length -= 64) {
    __m256i x = _mm256_loadu_si256((const __m256i *)bytes);
    __m256i y = _mm256_loadu_si256((const __m256i *)(bytes + 32));
    a = _mm256_add_epi64(a, _mm256_and_si256(x, low_half));
    b = _mm256_add_epi64(b, _mm256_srli_epi64(x, 32));
    c = _mm256_add_epi64(c, _mm256_and_si256(y, low_half));
    d = _mm256_add_epi64(d, _mm256_srli_epi64(y, 32));
  }
  __m256i all = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
  uint64_t lanes[4];
  memcpy(lanes, &all, sizeof lanes);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] + sum_portable(bytes, length);
}

static uint64_t sum_sse2(const uint8_t *bytes, size_t length) {
  const __m128i low_half = _mm_set1_epi64x(UINT32_MAX);
  __m128i a = _mm_setzero_si128(), b = a, c = a, d = a;
  for (; length >= 32; bytes += 32, length -= 32) {
    __m128i x = _mm_loadu_si128((const __m128i *)bytes);
    __m128i y = _mm_loadu_si128((const __m128i *)(bytes + 16));
    a = _mm_add_epi64(a, _mm_and_si128(x, low_half));
    b = _mm_add_epi64(b, _mm_srli_epi64(x, 32));
    c = _mm_add_epi64(c, _mm_and_si128(y, low_half));
    d = _mm_add_epi64(d, _mm_srli_epi64(y, 32));
  }
  __m128i all = _mm_add_epi64(_mm_add_epi64(a, b), _mm_add_epi64(c, d));
  uint64_t lanes[2];
  memcpy(lanes, &all, sizeof lanes);
  return lanes[0] + lanes[1] + sum_portable(bytes, length);
}

#elif defined(__aarch64__)

static bool has_neon(void) { return true; }

static uint64_t sum_neon(const uint8_t *bytes, size_t length) {
  uint64x2_t a = vdupq_n_u64(0), b = a;
  for (; length >= 32; bytes += 32, length -= 32) {
    a = vpadalq_u32(a, vreinterpretq_u32_u8(vld1q_u8(bytes)));
    b = vpadalq_u32(b, vreinterpretq_u32_u8(vld1q_u8(bytes + 16)));
  }
  return vaddvq_u64(vaddq_u64(a, b)) + sum_portable(bytes, length);
}

#endif

static bool has_portable(void) { return true; }

struct implementation {
  const char *name;
  bool (*present)(void);
  sum_function *sum;
};

/* Best first. */
static const struct implementation implementations[] = {
#if defined(__x86_64__)
    {"avx2", has_avx2, sum_avx2},
    {"sse2", has_sse2, sum_sse2},
#elif defined(__aarch64__)
    {"neon", has_neon, sum_neon},
#endif
    {"portable", has_portable, sum_portable},
};
#define IMPLEMENTATIONS (sizeof implementations / sizeof implementations[0])

/* Atomic because a test may select while another thread sums; a relaxed load costs nothing. */
static _Atomic(const struct implementation *) current = &implementations[IMPLEMENTATIONS - 1];

__attribute__((constructor)) static void pick_best(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  for (size_t i = IMPLEMENTATIONS; i-- > 0;) {
    if (implementations[i].present()) atomic_store_explicit(&current, &implementations[i], memory_order_relaxed);
  }
}

const char *checksum_name(void) { return atomic_load_explicit(&current, memory_order_relaxed)->name; }

bool checksum_select(const char *name) {
  for (size_t i = 0; i < IMPLEMENTATIONS; i++) {
    if (strcmp(name, implementations[i].name) != 0 || !implementations[i].present()) continue;
    atomic_store_explicit(&current, &implementations[i], memory_order_relaxed);
    return true;
  }
  return false;
}

static uint16_t fold(uint64_t sum) {
  sum = (sum & UINT32_MAX) + (sum >> 32);
  sum = (sum & UINT32_MAX) + (sum >> 32);
  sum = (sum & UINT16_MAX) + (sum >> 16);
  sum = (sum & UINT16_MAX) + (sum >> 16);
  return (uint16_t)sum;
}

uint16_t checksum_fold(const void *bytes, size_t length, uint32_t seed) {
  uint64_t sum = atomic_load_explicit(&current, memory_order_relaxed)->sum(bytes, length);
  return fold((uint64_t)be16toh(fold(sum)) + seed);
}

uint32_t checksum_pseudo(const uint8_t *ip, int version, uint8_t protocol, uint32_t transport_bytes) {
  const uint8_t *addresses = ip + (version == 4 ? IP4_ADDRESSES_AT : IP6_ADDRESSES_AT);
  int address_bytes = version == 4 ? 8 : 32;
  uint32_t sum = (uint32_t)protocol + (transport_bytes >> 16) + (transport_bytes & UINT16_MAX);
  for (int i = 0; i < address_bytes; i += 2) sum += load_be16(addresses + i);
  return sum;
}
