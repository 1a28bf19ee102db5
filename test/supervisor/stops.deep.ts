import { stopsAndStarts, stopsInARow } from './stops';

stopsAndStarts(3);
stopsInARow(6);
