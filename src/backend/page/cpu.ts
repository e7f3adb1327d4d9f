import * as tf from '@tensorflow/tfjs-core'
import { whyNotImported } from '../optional-package.js'
import type { SelectableBackend } from './selection.js'
import { setBackend } from './set-backend.js'

/** Plain JavaScript: far slower than the others, and so the last one of a page. */
export const cpu: SelectableBackend<'cpu', object> = {
  names: ['cpu'],
  isAutomatic: true,
  async use(_, __, skipped) {
    try {
      await import('@tensorflow/tfjs-backend-cpu')
    } catch (error) {
      skipped.push({ name: 'cpu', why: whyNotImported('@tensorflow/tfjs-backend-cpu', error) })
      return undefined
    }
    await setBackend('cpu')
    // Keeps tfjs from advertising tfjs-node at the first operation to users who asked for this backend.
    Object.assign(tf.backend(), { firstUse: false })
    return { name: 'cpu', reason: 'it runs everywhere' }
  },
  async facts() {
    const { version_cpu: version } = await import('@tensorflow/tfjs-backend-cpu')
    return { version, threads: 1 }
  },
}
