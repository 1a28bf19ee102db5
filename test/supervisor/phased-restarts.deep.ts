import { phasedRestarts } from './phased-restarts';

phasedRestarts(4);
