import { backendNames } from '../../backend/backends.js'
import { PRECISIONS } from '../../backend/precision.js'
import { WIRE_TYPES } from '../../train/cluster/cluster.js'
import { BATCH_NORMS } from '../../train/cluster/worker-step.js'
import { optional, required, type Settings } from '../setting.js'
import { choice, positiveInteger, seedNumber } from '../setting-values.js'

/** The backend that a user asks for. */
export const backendChoices = {
  backend: {
    flag: '--backend <name>',
    help: 'what computes',
    byDefault: 'auto, the fastest that loads',
    value: choice(['auto', ...backendNames]),
    in: { run: { ...required, models: [], schema: choice(backendNames).schema } },
  },
} as const satisfies Settings

/** How a run computes, and how often it stores its state. */
export const computingSettings = {
  seed: {
    flag: '--seed <number>',
    help: 'seed of everything random',
    byDefault: '1',
    value: seedNumber,
    in: { run: required },
  },
  precision: {
    flag: '--precision <name>',
    help: 'convolutions and feature maps: bf16 is faster on native TensorFlow where the processor has it',
    byDefault: 'float32',
    value: choice(PRECISIONS),
    in: { run: { ...required, ifMissing: 'float32' } },
  },
  memory: {
    flag: '--memory <name>',
    help: 'low computes outputs of BatchNorm and ReLU again in the backward pass: less memory, some time',
    byDefault: 'normal',
    value: choice(['normal', 'low']),
    in: { run: { ...required, ifMissing: 'normal' } },
  },
  checkpointSteps: {
    flag: '--checkpoint-steps <steps>',
    help: 'store the state this often within an epoch, besides its end',
    value: positiveInteger,
    in: { training: optional },
  },
  clusterBatchNorm: {
    flag: '--batch-norm <kind>',
    help: 'with several workers: statistics of the whole batch, as one process takes them, or of each part of it',
    byDefault: 'synchronised',
    value: choice(BATCH_NORMS),
    in: { training: optional },
  },
  clusterWire: {
    flag: '--wire <type>',
    help: 'with several workers: how gradients travel; bfloat16 halves the bytes and rounds',
    byDefault: 'float32',
    value: choice(WIRE_TYPES),
    in: { training: optional },
  },
} as const satisfies Settings
