/* Starts and ends: the cost of any process. */
#include "raw.h"

void begin(long *stack)
{
	(void)stack;
	quit(0);
}
