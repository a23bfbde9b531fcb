/* The least possible client: one round trip to the socket in argv[1], the
 * answer without its first line to stdout. For git's `store` and `erase` it does
 * nothing. It parses nothing, checks nothing and handles no failures except a
 * failed connect and a short answer, so no correct client can be faster. */
#include "raw.h"

enum { AF_UNIX = 1, SOCK_STREAM = 1 };

static const char request[] =
	"molecule/1 get\nclient=helper\nprotocol=https\nhost=github.com\n\n";
static const char head[] = "molecule/1 ok\n";
static struct {
	unsigned short family;
	char path[108];
} address = { .family = AF_UNIX };
static char answer[16384];

void begin(long *stack)
{
	const char *path = ((const char **)stack)[2];
	const char *action = ((const char **)stack)[3];
	long length = 0, got, fd;

	if (action && action[0] != 'g')
		quit(0);

	while (path[length] && length < 107) {
		address.path[length] = path[length];
		length++;
	}
	fd = call(SOCKET, AF_UNIX, SOCK_STREAM, 0);
	if (call(CONNECT, fd, (long)&address, 2 + length + 1) < 0)
		quit(1);
	call(WRITE, fd, (long)request, sizeof(request) - 1);
	got = call(READ, fd, (long)answer, sizeof(answer));
	if (got < (long)sizeof(head))
		quit(1);
	call(WRITE, 1, (long)answer + sizeof(head) - 1, got - (sizeof(head) - 1));
	quit(0);
}
