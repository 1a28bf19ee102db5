import { phasedRestarts } from './phased-restarts';

phasedRestarts(2);
