import { phasedRestarts } from '../supervisor/phased-restarts';
import { PROMISED_S, stopsAndStarts, stopsInARow } from '../supervisor/stops';

phasedRestarts(20);
stopsAndStarts(20, PROMISED_S);
stopsInARow(100, PROMISED_S);
