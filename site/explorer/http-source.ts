import type { AnswerTo, Question } from '../../src/explore/explorer.js'
import type { ExplorerSource } from './source.js'

/** The server that the page came from. */
export function httpSource(): ExplorerSource {
  return {
    async ask<Asked extends Question>(question: Asked, signal?: AbortSignal) {
      const response = await asked('/ask', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(question),
        ...(signal && { signal }),
      })
      return (await response.json()) as AnswerTo<Asked>
    },
    picture: async (network, image, longest) => `/pictures/${network}/${image}?longest=${longest}`,
    async addImages(files) {
      for (const file of files) {
        const name = encodeURIComponent(file.webkitRelativePath || file.name)
        await asked(`/images?name=${name}`, { method: 'POST', body: file })
      }
    },
  }
}

async function asked(address: string, request: RequestInit): Promise<Response> {
  const response = await fetch(address, request).catch((cause: Error) => {
    if (cause.name === 'AbortError') throw cause
    throw new Error('pmoe explore no longer answers: start it again in the terminal.', { cause })
  })
  if (response.ok) return response
  const { error } = (await response.json().catch(() => ({}))) as { readonly error?: string }
  throw new Error(error ?? `pmoe explore answered ${response.status}`)
}
