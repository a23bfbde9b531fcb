/* Starts and ends: what any process costs. */
#include "raw.h"

void begin(long *stack)
{
	(void)stack;
	quit(0);
}
