import type { Settings } from './setting.js'
import { augmentationSettings } from './settings/augmentation.js'
import { backendChoices, computingSettings } from './settings/computing.js'
import { batchSettings, dataChoices, imageSettings } from './settings/data.js'
import { mixtureSettings } from './settings/mixture.js'
import { networkChoices, networkSettings } from './settings/network.js'
import { optimisationSettings } from './settings/optimisation.js'
import { patchSettings } from './settings/patches.js'
import { transferSettings } from './settings/transfer.js'

/** Settings under one heading of help and documentation. */
export interface SettingGroup {
  readonly heading: string
  readonly settings: Settings
}

const data = { ...dataChoices, ...imageSettings, ...batchSettings }
/** In the order in which configurations have always had them, which checkpoints compare. */
const dataInOrder = { ...dataChoices, ...imageSettings, ...augmentationSettings, ...batchSettings }
const network = { ...networkChoices, ...networkSettings }
const run = { ...computingSettings, ...backendChoices }

/** Every setting of a run by group, in the order of help and documentation. */
export const settingGroups = {
  data: { heading: 'Data', settings: data },
  augmentation: { heading: 'Augmentation', settings: augmentationSettings },
  network: { heading: 'Network', settings: network },
  mixture: { heading: 'Mixture of experts', settings: mixtureSettings },
  patches: { heading: 'Patches of large images (routed)', settings: patchSettings },
  optimisation: { heading: 'Optimisation', settings: optimisationSettings },
  transfer: { heading: 'Transfer', settings: transferSettings },
  run: { heading: 'Run', settings: run },
} as const satisfies Readonly<Record<string, SettingGroup>>

/** Every setting of a run by its name in a configuration. */
export const settings = {
  ...dataInOrder,
  ...network,
  ...mixtureSettings,
  ...patchSettings,
  ...optimisationSettings,
  ...transferSettings,
  ...run,
}
