import { crashLoop } from './crash-loop';

crashLoop(6000);
