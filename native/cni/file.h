/* Reads whole files and streams of a bounded size. */
#ifndef WEFT_CNI_FILE_H
#define WEFT_CNI_FILE_H

#include <stddef.h>

/* Far more than a network config or a state file has. */
#define TEXT_MAX (1 << 20)

/* Returns the bytes, to be freed, and their number; NULL with errno set (EFBIG: more than TEXT_MAX). */
char *read_all(int fd, size_t *bytes);

/* As read_all, of a regular file that is no symbolic link when `flags` has O_NOFOLLOW. */
char *read_file_at(int folder, const char *name, int flags, size_t *bytes);

/* 0 or -1 with errno set. */
int write_all(int fd, const char *text, size_t bytes);

#endif
