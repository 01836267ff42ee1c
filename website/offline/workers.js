// The search of the site runs in a worker, which browsers refuse to pages that are opened from a disk.
// There a hidden frame does the work instead. Messages arrive later, as those of a worker do.
if (location.protocol === "file:") {
  window.Worker = class {
    constructor(url) {
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const inner = this.frame.contentWindow;
      inner.postMessage = (data) => {
        const event = new MessageEvent("message", {data: structuredClone(data)});
        setTimeout(() => this.onmessage?.(event));
      };
      this.loaded = new Promise((resolve) => {
        const script = inner.document.createElement("script");
        script.onload = resolve;
        script.src = new URL(url, document.baseURI).href;
        inner.document.body.append(script);
      });
    }
    async postMessage(data) {
      const copy = structuredClone(data); // the receiver may change it
      await this.loaded;
      this.frame.contentWindow?.dispatchEvent(new MessageEvent("message", {data: copy}));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
