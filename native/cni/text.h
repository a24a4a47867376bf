/* Text of others (a config, an environment, a delegate) for messages: printable ASCII only, and never long. */
#ifndef WEFT_CNI_TEXT_H
#define WEFT_CNI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A stretch of text that nothing terminates. */
struct slice {
  const char *at;
  size_t length;
};

struct quote {
  char text[96];
};

/* Copies what fits; what is not printable becomes '?', a line's end or a tab a blank. `to` is terminated, `size` is at least 1. */
void printable(char *to, size_t size, struct slice from);

/* In double quotes, an ellipsis where it was cut. The result is meant for one call of a formatting function. */
struct quote quote_slice(struct slice foreign);
struct quote quote(const char *foreign);

bool slice_is(struct slice slice, const char *text);

/* What CNI allows for container ids and network names: letters, digits, "_", "." and "-", a letter or digit first. */
bool is_cni_name(const char *text);

#endif
