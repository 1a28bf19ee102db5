import { sized } from '../support/long-form';
import { PROMISED_S, standstills } from './standstills';

standstills(sized(undefined, PROMISED_S));
