import { crashLoop } from './crash-loop';

crashLoop(0, false);
