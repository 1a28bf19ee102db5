import { phasedRestarts } from '../supervisor/phased-restarts';
import { stopsAndStarts, stopsInARow } from '../supervisor/stops';

phasedRestarts(20);
stopsAndStarts(20);
stopsInARow(100);
