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
  const adapter = adapterOfPage()
  if (!adapter) return skip('this browser has no WebGL')
  const name = adapter.isSoftware ? 'webgl-software' : adapter.float16 ? 'webgl-float16' : 'webgl'
  if (name !== asked) return skip(whyUnusable(adapter, name))
  await setBackend('webgl')
  watchContext(tf.backend())
  return { name, reason: 'this browser has WebGL', remark: adapterText(adapter), adapter }
}

/** What tfjs would compute on, found out without it; undefined where it finds no WebGL. */
function adapterOfPage(): Adapter | undefined {
  // tfjs itself takes no WebGL that the browser knows to be slow; here that is one of software.
  tf.env().set('SOFTWARE_WEBGL_ENABLED', true)
  const version = tf.env().getNumber('WEBGL_VERSION')
  if (version === 0) return undefined
  const name = version === 2 ? 'webgl2' : 'webgl'
  const fast = newCanvas().getContext(name, { failIfMajorPerformanceCaveat: true })
  const gl = (fast ?? newCanvas().getContext(name)) as WebGL2RenderingContext | null
  if (!gl) return undefined
  const adapter = adapterOfContext(gl, fast === null)
  gl.getExtension('WEBGL_lose_context')?.loseContext()
  return adapter
}

function newCanvas(): HTMLCanvasElement | OffscreenCanvas {
  return typeof OffscreenCanvas === 'undefined' ? document.createElement('canvas') : new OffscreenCanvas(1, 1)
}

function adapterOfContext(gl: WebGL2RenderingContext, isSlow: boolean): Adapter {
  const unmasked = gl.getExtension('WEBGL_debug_renderer_info')
  const name = String(gl.getParameter(unmasked?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER))
  const limits = ['MAX_TEXTURE_SIZE', 'MAX_TEXTURE_IMAGE_UNITS'] as const
  return {
    name,
    driver: String(gl.getParameter(gl.VERSION)),
    isSoftware: isSlow || isSoftwareName(name),
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
