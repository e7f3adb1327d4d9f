import { BORDERS } from '../../layers/moe/experts/expert-convolution.js'
import { PRE_ACTIVATIONS } from '../../layers/moe/experts/pre-activation.js'
import { GATE_SCALES, GATES } from '../../layers/moe/gates.js'
import { PATCH_GATES } from '../../layers/moe/patch-experts-options.js'
import { GATE_NOISES, SAMPLE_GATES } from '../../layers/moe/sample-routing.js'
import { NORMALIZERS } from '../../layers/moe/two-layer-experts.js'
import { WIDE_RESNET_VARIANTS } from '../../models/wide-resnet.js'
import { ROUTER_TRAININGS } from '../../train/routing/routers.js'
import { optional, required, type Settings } from '../setting.js'
import {
  annealing,
  choice,
  given,
  numberFromZero,
  pixelSize,
  positiveInteger,
  positiveNumber,
  text,
} from '../setting-values.js'

/** The schema of the gates with which experts choose patches. */
const gates = choice(GATES).schema
/** The schema of the gates of experts that samples choose. */
const sampleGates = choice(SAMPLE_GATES).schema
/** The options of a two-layer CNN hold these settings too, but only those of the mixture have flags. */
const twoLayerMixture = { ...required, models: ['two-layer-pmoe'] } as const
const separateRouters = { training: { ...optional, models: ['two-layer-pmoe'] } } as const

/** The options of a single network hold these settings too, but only those of the mixture have flags. */
const sampleMixture = { ...required, models: ['sample-moe'] } as const
const sampleNoise = { ...optional, models: ['sample-moe'] } as const

/** The models whose experts can choose patches. */
const patchModels = ['wrn-pmoe', 'two-layer-pmoe', 'routed', 'init'] as const

/** What the mixture of a network is, and how its routers are trained. */
export const mixtureSettings = {
  numExperts: {
    flag: '--experts <count>',
    help: 'number of experts',
    value: positiveInteger,
    in: {
      wideResNetMixture: required,
      twoLayer: twoLayerMixture,
      sampleMoE: sampleMixture,
      sampleNetworks: required,
      routed: required,
      insertedMixture: required,
    },
  },
  patchesPerExpert: {
    flag: '--patches-per-expert <count>',
    help: 'patches that each expert keeps',
    value: positiveInteger,
    in: {
      wideResNetMixture: required,
      twoLayer: twoLayerMixture,
      routed: required,
      insertedMixture: optional,
    },
  },
  expertsPerSample: {
    flag: '--experts-per-sample <count>',
    help: 'experts that each sample chooses',
    byDefault: '1',
    value: positiveInteger,
    in: { sampleMoE: sampleNoise, sampleNetworks: optional },
  },
  patchSize: {
    flag: '--patch-size <pixels>',
    help: 'side of a patch (4 or 4x2): of the last map in wrn-pmoe, of the image in other models',
    value: pixelSize,
    in: {
      wideResNetMixture: required,
      twoLayer: { ...required, schema: positiveInteger.schema },
      sampleMoE: required,
      sampleNetworks: required,
      insertedMixture: optional,
    },
  },
  variant: {
    flag: '--variant <name>',
    help: 'how the last block of wrn-pmoe becomes a mixture',
    value: choice(WIDE_RESNET_VARIANTS),
    in: { wideResNet: { ...optional, models: ['wrn-pmoe'] } },
  },
  layer: {
    flag: '--layer <path>',
    help: 'convolution of --init that becomes a mixture',
    byDefault: 'the last that fits; pmoe plan lists all',
    value: text,
    in: { insertedMixture: optional },
  },
  kernelSize: {
    flag: '--kernel-size <pixels>',
    help: "side of an expert's kernel, odd",
    value: positiveInteger,
    in: { wideResNetMixture: { ...optional, schema: pixelSize.schema } },
  },
  border: {
    flag: '--border <name>',
    help: 'what an expert sees past its patch',
    value: choice(BORDERS),
    in: { wideResNetMixture: optional, insertedMixture: optional },
  },
  gate: {
    flag: '--gate <name>',
    help: 'how gates follow from scores',
    value: choice([...new Set([...GATES, ...SAMPLE_GATES, ...PATCH_GATES])]),
    in: {
      wideResNetMixture: { ...optional, schema: gates },
      twoLayer: { ...twoLayerMixture, schema: gates },
      sampleMoE: { ...sampleMixture, schema: sampleGates },
      sampleNetworks: { ...required, schema: sampleGates },
      routed: { ...optional, schema: choice(PATCH_GATES).schema },
      insertedMixture: { ...optional, schema: gates },
    },
  },
  gateNoise: {
    flag: '--gate-noise <name>',
    help: 'whether the routing noise of training is in the gates of experts that samples choose, or in the choice alone',
    byDefault: 'selection-only; included with gate raw, and in sample-networks with gate softmax',
    value: choice(GATE_NOISES),
    in: { sampleMoE: sampleNoise, sampleNetworks: optional },
  },
  routingNoise: {
    flag: '--routing-noise <limit>',
    help: 'noise of U[0, limit) that training adds to the scores by which samples choose experts',
    byDefault: '1',
    value: numberFromZero,
    in: { sampleMoE: sampleNoise, sampleNetworks: optional },
  },
  gateScale: {
    flag: '--gate-scale <name>',
    help: 'how gates are scaled',
    value: choice(GATE_SCALES),
    in: { wideResNetMixture: optional, insertedMixture: optional },
  },
  normalizer: {
    help: "what divides the experts' sum: their kept patches, or all patches",
    value: choice(NORMALIZERS),
    in: { twoLayer: required },
  },
  preActivation: {
    help: 'what an expert does to its kept patches before its convolution',
    value: choice(PRE_ACTIVATIONS),
    in: { wideResNetMixture: optional },
  },
  useBias: {
    help: 'whether experts add a bias',
    value: given,
    in: { wideResNetMixture: optional, sampleMoE: optional },
  },
  routerTrainable: {
    help: 'whether routers are trained with the experts',
    value: given,
    in: { wideResNetMixture: optional, twoLayer: optional, sampleMoE: optional },
  },
  loadBalance: {
    flag: '--load-balance <coefficient>',
    help:
      'times the balance loss is added to the loss: of how evenly samples choose experts, or, where experts choose patches, ' +
      'of how evenly they choose positions',
    byDefault: '0',
    value: numberFromZero,
    in: {
      training: {
        ...optional,
        models: [...patchModels, 'sample-moe', 'sample-networks'],
      },
    },
  },
  diversity: {
    flag: '--diversity <coefficient>',
    help: 'times the overlap of the routers, the mean cosine of what two experts look at, is added to the loss',
    byDefault: '0',
    value: numberFromZero,
    in: { training: { ...optional, models: patchModels } },
  },
  annealPatches: {
    flag: '--anneal-patches <from:to:epochs>',
    help: 'have each expert keep fewer patches from epoch to epoch: 64:16:5',
    value: annealing,
    in: { training: { ...optional, models: ['wrn-pmoe', 'init'] } },
  },
  routerTraining: {
    flag: '--router-training <mode>',
    help: 'train routers with the experts, or before them, one for each class, and then freeze them',
    byDefault: 'joint',
    value: choice(ROUTER_TRAININGS),
    in: separateRouters,
  },
  routerEpochs: {
    flag: '--router-epochs <count>',
    help: 'passes over the training images that separate routers get',
    byDefault: '100',
    value: positiveInteger,
    in: separateRouters,
  },
  routerBatchSize: {
    flag: '--router-batch-size <images>',
    help: 'images, of two classes, in one step of router training',
    byDefault: 'that of the experts',
    value: positiveInteger,
    in: separateRouters,
  },
  routerLearningRate: {
    flag: '--router-lr <rate>',
    help: 'learning rate of separate routers',
    byDefault: 'that of the experts',
    value: positiveNumber,
    in: separateRouters,
  },
  routingMetrics: {
    flag: '--routing-metrics',
    help: 'measure after each epoch where the experts look on the test images, or which experts samples choose',
    value: given,
    in: {
      training: { ...optional, models: ['wrn-pmoe', 'two-layer-pmoe', 'sample-moe', 'sample-networks'] },
    },
  },
} as const satisfies Settings
