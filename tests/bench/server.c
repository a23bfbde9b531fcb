/* A bare epoll server, one thread: reads until an empty line, writes the fixed
 * answer in argv[2], closes. It makes no decisions, so it is the upper limit for
 * a server on this machine. Usage: server SOCKET ANSWER */
#define _GNU_SOURCE
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { MOST = 128, BUFFER = 4096 };

static const char *answer;
static size_t answer_length;

/* Expects the request in one write, as all clients of this benchmark send it. */
static void serve(int client)
{
	char buffer[BUFFER];
	ssize_t got = read(client, buffer, sizeof(buffer));

	if (got >= 2 && buffer[got - 1] == '\n' && buffer[got - 2] == '\n')
		if (write(client, answer, answer_length) < 0)
			_exit(1);
	close(client);
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct epoll_event events[MOST], event = { .events = EPOLLIN };
	int listener, poll;

	if (argc != 3 || strlen(argv[1]) >= sizeof(address.sun_path))
		return 2;
	strcpy(address.sun_path, argv[1]);
	answer = argv[2];
	answer_length = strlen(answer);

	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1024))
		return 1;
	poll = epoll_create1(EPOLL_CLOEXEC);
	event.data.fd = listener;
	epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);

	for (;;) {
		int count = epoll_wait(poll, events, MOST, -1);

		for (int i = 0; i < count; i++) {
			int client;

			if (events[i].data.fd != listener) {
				serve(events[i].data.fd);
				continue;
			}
			while ((client = accept4(listener, NULL, NULL,
						 SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
				event.data.fd = client;
				epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
			}
		}
	}
}
