import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"Limits","description":"","frontmatter":{},"headers":[],"relativePath":"limits.md","filePath":"limits.md"}');
const _sfc_main = { name: "limits.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="limits" tabindex="-1">Limits <a class="header-anchor" href="#limits" aria-label="Permalink to &quot;Limits&quot;">​</a></h1><h2 id="when-a-mixture-does-not-pay" tabindex="-1">When a mixture does not pay <a class="header-anchor" href="#when-a-mixture-does-not-pay" aria-label="Permalink to &quot;When a mixture does not pay&quot;">​</a></h2><ul><li><strong>The object fills the image, or a cell of the map sees far more than the object</strong>: no difference was found. <code>pmoe plan</code> says &quot;expect nothing here&quot; where that is so (<a href="/choosing.html">Choosing the settings</a>).</li><li><strong>Very small objects and few images</strong>: objects of a twentieth of the image neither layer learned with 100 images (<a href="/results/transfer.html">transfer</a>).</li><li><strong>Many images</strong>: the accuracies meet; what is left is the smaller number of multiply-adds (<a href="/results/fig16.html">fig16</a>).</li><li><strong>A shortcut in the training images</strong> is learned by both networks (<a href="/results/fig11.html">fig11</a>).</li><li><strong>Small layers</strong>: where small operations weigh as much as the products, a mixture is no faster. Training a head with one took 1.3 to 2.3 times as long; a 1x1 convolution takes 0.46 of its time at an eighth of the patches (<a href="/results/#time-and-memory">Results</a>).</li><li><strong>One expert a sample</strong> is for samples that fall into clusters. On rotated images <code>SampleExperts</code> gained nothing in short runs.</li></ul><h2 id="what-was-not-run" tabindex="-1">What was not run <a class="header-anchor" href="#what-was-not-run" aria-label="Permalink to &quot;What was not run&quot;">​</a></h2><p>GPUs (WebGPU and WebGL ran in software) and tfjs-node&#39;s published binaries (the code is there, its tests inject the tools), CelebA, CIFAR, MNIST, ImageNet and TensorFlow Datasets themselves (tested on generated files in their exact formats, and on files that TensorFlow wrote), the publishers that <code>pmoe data fetch</code> downloads from (tested on a local server), clusters, Windows and macOS, the paper&#39;s experiments on its own data and at its own width.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("limits.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const limits = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  limits as default
};
