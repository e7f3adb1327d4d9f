/** The playground as a page of its own, with all that it needs in the folder of this script. */
import { mountPlayground } from './main.js'

const here = (path: string) => new URL(path, import.meta.url).href

mountPlayground(document.getElementById('playground') as HTMLElement, {
  startWorker: () => new Worker(here('./worker.js'), { type: 'module' }),
  samples: here('./samples/'),
  wasm: here('./wasm/'),
})
