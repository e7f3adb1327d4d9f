import * as tf from '@tensorflow/tfjs-core'
import { whyNotImported } from '../optional-package.js'
import { watchContext } from '../webgl/context-watch.js'
import { type Adapter, adapterText, isSoftwareName } from '../webgpu/adapter.js'
import type { SelectableBackend, SelectedBackend, SkippedBackend } from './selection.js'
import { setBackend } from './set-backend.js'

type WebGlName = 'webgl' | 'webgl-software' | 'webgl-float16'

/**
 * WebGL of a browser. Names of their own have one that computes on the processor, and one whose textures hold float16 alone, which
 * is too coarse to train with.
 */
export const webgl: SelectableBackend<WebGlName, object> = {
  names: ['webgl', 'webgl-software', 'webgl-float16'],
  isAutomatic: true,
  use,
  facts: async ({ adapter }) => (adapter ? { device: adapterText(adapter), adapter } : {}),
}

async function use(
  requested: WebGlName | 'auto',
  _: object,
  skipped: SkippedBackend<WebGlName>[],
): Promise<SelectedBackend<WebGlName> | undefined> {
  const asked = requested === 'auto' ? 'webgl' : requested
  const skip = (why: string) => void skipped.push({ name: asked, why })
  try {
    await import('@tensorflow/tfjs-backend-webgl')
  } catch (error) {
    return skip(whyNotImported('@tensorflow/tfjs-backend-webgl', error))
  }
  if (!tf.env().getNumber('WEBGL_VERSION')) return skip('this browser has no WebGL')
  const before = tf.getBackend()
  await setBackend('webgl')
  const adapter = adapterOfContext(contextOf(tf.backend()))
  const name = adapter.isSoftware ? 'webgl-software' : adapter.float16 ? 'webgl-float16' : 'webgl'
  if (name !== asked) {
    if (before) await tf.setBackend(before)
    return skip(whyUnusable(adapter, name))
  }
  watchContext(tf.backend())
  return { name, reason: 'this browser has WebGL', remark: adapterText(adapter), adapter }
}

function contextOf(backend: tf.KernelBackend): WebGL2RenderingContext {
  return (backend as unknown as { readonly gpgpu: { readonly gl: WebGL2RenderingContext } }).gpgpu.gl
}

function adapterOfContext(gl: WebGL2RenderingContext): Adapter {
  const unmasked = gl.getExtension('WEBGL_debug_renderer_info')
  const name = String(gl.getParameter(unmasked?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER))
  const limits = ['MAX_TEXTURE_SIZE', 'MAX_TEXTURE_IMAGE_UNITS'] as const
  return {
    name,
    driver: String(gl.getParameter(gl.VERSION)),
    isSoftware: isSoftwareName(name),
    float16: !tf.env().getBool('WEBGL_RENDER_FLOAT32_ENABLED'),
    limits: Object.fromEntries(limits.map(limit => [limit, gl.getParameter(gl[limit]) as number])),
  }
}

function whyUnusable(adapter: Adapter, name: WebGlName): string {
  const whose = {
    webgl: 'WebGL computes on a GPU',
    'webgl-software': 'WebGL computes on the processor',
    'webgl-float16': 'textures of WebGL hold 16 bits a number here, too few to train with',
  }[name]
  return `${whose}, ${adapterText(adapter)} (${name} takes it)`
}
