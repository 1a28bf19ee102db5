import { stopsAndStarts, stopsInARow, stopsUnderFreshCallers } from './stops';

stopsAndStarts(1);
stopsInARow(3);
stopsUnderFreshCallers(4);
