import { definePowers } from './powers';
import { inModes } from './worlds';

inModes(['real'], definePowers);
