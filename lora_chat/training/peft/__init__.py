"""Training by transformers and PEFT: any base that they load, on any device."""
