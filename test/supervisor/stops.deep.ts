import { stopsAndStarts, stopsInARow } from './stops';

stopsAndStarts(1);
stopsInARow(3);
