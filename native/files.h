/* What files look like and hold, many in one piece of work (files.c). Control thread only. */
#ifndef WEFT_FILES_H
#define WEFT_FILES_H

#include <node_api.h>

/* A promise of an array with an object for each of these paths, which NULL ends and which this call frees. They are looked at one after
 * the other by one of libuv's file threads: a network file system that hangs stops that one only. Of at most `text_max` bytes the text
 * is read, too; 0: none is. NULL with an exception pending. */
napi_value files_look(napi_env env, char **paths, int text_max);

#endif
