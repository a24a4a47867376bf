/*
 * flannel's CNI plugin, under the names "flannel" and "weft": a container runtime runs it for every pod. It reads subnet.env, which
 * weftd writes, makes the config of another plugin of it (usually bridge) and lets that one do the work.
 * https://www.cni.dev/docs/spec/ (0.1.0 to 1.1.0): the command is in the environment, the network config on stdin, the answer on stdout.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "failure.h"
#include "request.h"

static bool run(const struct request *request, json_t **answer, struct failure *why) {
  switch (request->command) {
    case COMMAND_ADD:
      return command_add(request, answer, why);
    case COMMAND_DEL:
      return command_del(request, why);
    case COMMAND_CHECK:
      return command_check(request, why);
    case COMMAND_STATUS:
      return command_status(request, why);
    case COMMAND_GC:
      return command_gc(request, why);
    case COMMAND_VERSION:
      *answer = supported_versions();
  }
  return true;
}

/* False: nobody could read it. */
static bool print(json_t *answer) {
  return json_dumpf(answer, stdout, JSON_INDENT(4)) == 0 && putchar('\n') != EOF && fflush(stdout) == 0;
}

int main(void) {
  const char *command = getenv("CNI_COMMAND");
  if (!command || !*command)
    return fputs("weft's CNI plugin (types flannel and weft): a container runtime runs it, with CNI_COMMAND set\n",
                 stderr),
           0;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL); /* who ignores it never learns how a delegate ended */
  struct request request;
  struct failure why;
  json_t *answer = NULL;
  bool is_good = request_read(command, &request, &why) && run(&request, &answer, &why);
  if (!is_good) {
    json_decref(answer);
    answer = failure_json(&why, request.version);
  }
  bool is_printed = !answer || print(answer);
  json_decref(answer);
  json_decref(request.root);
  return is_good && is_printed ? 0 : 1;
}
