/* The commands of CNI. Each returns true, or false with `why`; only ADD prints something, its result. */
#ifndef WEFT_CNI_COMMAND_H
#define WEFT_CNI_COMMAND_H

#include <jansson.h>
#include <stdbool.h>

#include "request.h"

/* `result` becomes a new reference to what is to be printed. */
bool command_add(const struct request *request, json_t **result, struct failure *why);

/* Also where nothing is known of the attachment: that it is gone is what was asked for. */
bool command_del(const struct request *request, struct failure *why);

bool command_check(const struct request *request, struct failure *why);

/* Whether an ADD could succeed. */
bool command_status(const struct request *request, struct failure *why);

/* DEL of every attachment of this network that is not among the valid ones. */
bool command_gc(const struct request *request, struct failure *why);

#endif
