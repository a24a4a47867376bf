/** A fake worker that dies while it loads, as one whose addon is missing does. */
throw new Error('this module does not load');
